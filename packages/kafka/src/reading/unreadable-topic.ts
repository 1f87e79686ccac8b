import { topicUnavailable } from '../cluster.js'
import { metadata } from '../protocol/metadata.js'

// Metadata itself needs Describe, which Read includes: who is to read lacks Read.
const metadataOfReaders = { name: metadata.name, needs: { topic: 'Read' } } as const

/** Why a topic that is to be read cannot be had. @param code What Metadata answered for it. */
export const unreadableTopic = (topic: string, code: number): ReturnType<typeof topicUnavailable> =>
  topicUnavailable(topic, code, metadataOfReaders)
