import type { Api } from './api.js'

export interface JoinGroupRequest {
  readonly groupId: string
  readonly sessionTimeoutMs: number
  readonly rebalanceTimeoutMs: number
  /** Empty at first; the answer MEMBER_ID_REQUIRED brings one. */
  readonly memberId: string
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
  /** For the leader only, who assigns; views of the answer. */
  readonly members: readonly { readonly memberId: string; readonly metadata: Buffer }[]
}

/** JoinGroup 9, without static membership. Answered when all members have joined, or the rebalance timeout is over. */
export const joinGroup: Api<JoinGroupRequest, JoinGroupAnswer> = {
  name: 'JoinGroup',
  key: 11,
  version: 9,
  needs: { group: 'Read' },
  encode: (writer, request) => {
    writer.compactString(request.groupId).int32(request.sessionTimeoutMs).int32(request.rebalanceTimeoutMs)
    writer.compactString(request.memberId).compactString(null).compactString(request.protocolType)
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
    reader.boolean() // skip the assignment: concerns static members
    const memberId = reader.compactString()
    const members = reader.compactArray(() => {
      const id = reader.compactString()
      reader.compactNullableString() // group instance id
      const metadata = reader.compactBytes()
      reader.tags()
      return { memberId: id, metadata }
    })
    reader.tags()
    return { throttleMs, errorCode, generationId, protocolName, leaderId, memberId, members }
  },
}
