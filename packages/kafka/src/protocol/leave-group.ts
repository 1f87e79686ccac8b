import type { Api } from './api.js'

export interface LeaveGroupRequest {
  readonly groupId: string
  readonly memberId: string
  readonly groupInstanceId: string | null
}

export interface LeaveGroupAnswer {
  readonly throttleMs: number
  readonly errorCode: number
}

/** LeaveGroup 5 of one member: its partitions go to the others at once, instead of after its session timeout. */
export const leaveGroup: Api<LeaveGroupRequest, LeaveGroupAnswer> = {
  name: 'LeaveGroup',
  key: 13,
  version: 5,
  needs: { group: 'Read' },
  encode: (writer, request) => {
    writer.compactString(request.groupId)
    writer.compactArray(
      [request],
      ({ memberId, groupInstanceId }) =>
        writer.compactString(memberId).compactString(groupInstanceId).compactString(null).noTags(), // no reason
    )
    writer.noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const errorCode = reader.int16()
    const memberCodes = reader.compactArray(() => {
      reader.compactString() // member id
      reader.compactNullableString() // group instance id
      const memberCode = reader.int16()
      reader.tags()
      return memberCode
    })
    reader.tags()
    return { throttleMs, errorCode: errorCode || (memberCodes[0] ?? errorCode) }
  },
}
