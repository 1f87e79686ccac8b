import type { Api } from './api.js'

export interface HeartbeatRequest {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

export interface HeartbeatAnswer {
  readonly throttleMs: number
  readonly errorCode: number
}

/** Heartbeat 4: the member is alive; the answer says whether its generation still is. */
export const heartbeat: Api<HeartbeatRequest, HeartbeatAnswer> = {
  name: 'Heartbeat',
  key: 12,
  version: 4,
  needs: { group: 'Read' },
  encode: (writer, request) => {
    writer.compactString(request.groupId).int32(request.generationId).compactString(request.memberId)
    writer.compactString(request.groupInstanceId).noTags()
  },
  decode: (reader) => {
    const answer = { throttleMs: reader.int32(), errorCode: reader.int16() }
    reader.tags()
    return answer
  },
}
