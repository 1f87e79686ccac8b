import type { Api } from './api.js'

export interface JoinGroupRequest {
  readonly groupId: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  /** Empty at first; the answer MEMBER_ID_REQUIRED brings one. */
  readonly memberId: string
  /** Of a static member (KIP-345). */
  readonly groupInstanceId: string | null
  readonly protocolType: string
  /** In order of preference. The coordinator takes the first that all members speak. */
  readonly protocols: readonly { readonly name: string; readonly metadata: Uint8Array }[]
}

export interface JoinGroupAnswer {
  readonly throttleMs: number
  readonly errorCode: number
  readonly generationId: number
  readonly protocolName: string
  readonly leaderId: string
  readonly memberId: string
  /** For the leader, when it came back as a static member and what was assigned before still holds (KIP-814). */
  readonly skipAssignment: boolean
  /** For the leader only, who assigns; views of the answer. */
  readonly members: readonly {
    readonly memberId: string
    readonly groupInstanceId: string | null
    readonly metadata: Buffer
  }[]
}

/** JoinGroup 9. Answered when all members have joined, or the rebalance timeout is over. */
export const joinGroup: Api<JoinGroupRequest, JoinGroupAnswer> = {
  name: 'JoinGroup',
  key: 11,
  version: 9,
  needs: { group: 'Read' },
  encode: (writer, request) => {
    writer.compactString(request.groupId).int32(request.sessionTimeoutMs).int32(request.rebalanceTimeoutMs)
    writer.compactString(request.memberId).compactString(request.groupInstanceId)
    writer.compactString(request.protocolType)
    writer.compactArray(request.protocols, ({ name, metadata }) =>
      writer.compactString(name).compactBytes(metadata).noTags(),
    )
    writer.compactString(null).noTags() // no reason
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const errorCode = reader.int16()
    const generationId = reader.int32()
    reader.compactNullableString() // protocol type
    const protocolName = reader.compactString()
    const leaderId = reader.compactString()
    const skipAssignment = reader.boolean()
    const memberId = reader.compactString()
    const members = reader.compactArray(() => {
      const id = reader.compactString()
      const groupInstanceId = reader.compactNullableString()
      const metadata = reader.compactBytes()
      reader.tags()
      return { memberId: id, groupInstanceId, metadata }
    })
    reader.tags()
    return {
      throttleMs,
      errorCode,
      generationId,
      protocolName,
      leaderId,
      memberId,
      skipAssignment,
      members,
    }
  },
}
