import type { Api } from './api.js'

export interface SyncGroupRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
  readonly protocolType: string
  readonly protocolName: string
  /** From the leader; the others send none and receive theirs. */
  readonly assignments: readonly { readonly memberId: string; readonly assignment: Uint8Array }[]
}

export interface SyncGroupAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly assignment: Buffer
}

/** SyncGroup 5: hands out what the leader has assigned. Answered when the leader has sent it. */
export const syncGroup: Api<SyncGroupRequest, SyncGroupAnswer> = {
  name: 'SyncGroup',
  key: 14,
  version: 5,
  needs: { group: 'Read' },
  encode: (writer, request) => {
    writer.compactString(request.groupId).int32(request.generationId).compactString(request.memberId)
    writer.compactString(request.groupInstanceId)
    writer.compactString(request.protocolType).compactString(request.protocolName)
    writer.compactArray(request.assignments, ({ memberId, assignment }) =>
      writer.compactString(memberId).compactBytes(assignment).noTags(),
    )
    writer.noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const errorCode = reader.int16()
    reader.compactNullableString() // protocol type
    reader.compactNullableString() // protocol name
    const assignment = reader.compactBytes()
    reader.tags()
    return { throttleMs, errorCode, assignment }
  },
}
