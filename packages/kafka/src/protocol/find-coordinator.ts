import type { Api } from './api.js'

export interface FindCoordinatorAnswer {
  readonly throttleMs: number
  readonly coordinators: readonly {
    readonly key: string
    readonly nodeId: number
    readonly host: string
    readonly port: number
    readonly errorCode: number
  }[]
}

/** What a coordinator keeps the state of. */
export type CoordinatorKind = 'group' | 'transaction'

const keyTypes: Readonly<Record<CoordinatorKind, number>> = { group: 0, transaction: 1 }

/** FindCoordinator 4: the broker that keeps the state of a consumer group or of a transactional id. */
export const findCoordinator: Api<
  { readonly kind: CoordinatorKind; readonly key: string },
  FindCoordinatorAnswer
> = {
  name: 'FindCoordinator',
  key: 10,
  version: 4,
  // The broker asks for Describe. Whoever looks for a coordinator wants more of it, and each includes Describe.
  needs: { 'transactional-id': 'Write', group: 'Read' },
  encode: (writer, request) => {
    writer.int8(keyTypes[request.kind])
    writer.compactArray([request.key], (key) => writer.compactString(key))
    writer.noTags()
  },
  decode: (reader) => {
    const throttleMs = reader.int32()
    const coordinators = reader.compactArray(() => {
      const key = reader.compactString()
      const nodeId = reader.int32()
      const host = reader.compactString()
      const port = reader.int32()
      const errorCode = reader.int16()
      reader.compactNullableString() // error message
      reader.tags()
      return { key, nodeId, host, port, errorCode }
    })
    reader.tags()
    return { throttleMs, coordinators }
  },
}
