import type { Api } from './api.js'

export interface ApiVersionsAnswer {
  readonly errorCode: number
  /** Api key to the versions the broker accepts. */
  readonly versions: ReadonlyMap<number, { readonly min: number; readonly max: number }>
  /** Finalized features of the cluster (KIP-584), name to level: `transaction.version` 2 is KIP-890. */
  readonly features: ReadonlyMap<string, number>
  /** Grows with each change of the features; -1 when the broker knows none yet. */
  readonly featuresEpoch: bigint
}

/** How this client names itself (KIP-511); brokers show it in their metrics. */
export const thisSoftware = { software: 'oncebox', softwareVersion: '0' } as const

const unsupportedVersion = 35
const featuresEpochTag = 1
const finalizedFeaturesTag = 2

/** ApiVersions 3: what a broker speaks, and the finalized features of its cluster. */
export const apiVersions: Api<
  { readonly software: string; readonly softwareVersion: string },
  ApiVersionsAnswer
> = {
  name: 'ApiVersions',
  key: 18,
  version: 3,
  needs: {},
  answerHeader: 'v0',
  encode: (writer, request) => {
    writer.compactString(request.software).compactString(request.softwareVersion).noTags()
  },
  decode: (reader) => {
    const versions = new Map<number, { min: number; max: number }>()
    const features = new Map<string, number>()
    let featuresEpoch = -1n
    const errorCode = reader.int16()
    // A broker older than version 3 answers in version 0, which is not flexible: its code says all that matters.
    if (errorCode === unsupportedVersion) return { errorCode, versions, features, featuresEpoch }
    reader.compactArray((item) => {
      versions.set(item.int16(), { min: item.int16(), max: item.int16() })
      item.tags()
    })
    reader.int32() // throttle time: version 3 is never throttled
    reader.tags((tag, value) => {
      if (tag === featuresEpochTag) featuresEpoch = value.int64()
      if (tag !== finalizedFeaturesTag) return
      value.compactArray((feature) => {
        features.set(feature.compactString(), feature.int16())
        feature.int16() // minimum level
        feature.tags()
      })
    })
    return { errorCode, versions, features, featuresEpoch }
  },
}
