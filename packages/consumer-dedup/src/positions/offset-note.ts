import type { GroupOffset } from '@oncebox/kafka'

/** What a committed offset says beside its number, in its metadata. */
export interface OffsetNote {
  /** A topic that is created again has other events. */
  readonly topicId: string
  /** How many partitions the topic had when the group first saw it: those from this number on were added since. */
  readonly partitions: number
}

const pattern = /^([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?:\/(\d+))?$/i

export const writeNote = ({ topicId, partitions }: OffsetNote): string => `${topicId}/${partitions}`

/** Undefined of what another client has committed, which does not say. */
export function readNote({ metadata = '' }: Pick<GroupOffset, 'metadata'>): OffsetNote | undefined {
  const [, topicId, partitions] = pattern.exec(metadata) ?? []
  return topicId === undefined ? undefined : { topicId, partitions: Number(partitions ?? 0) }
}

/** Whether an offset was committed for this topic, not for an older one of its name. Others do not say. */
export function isOfTopic(offset: Pick<GroupOffset, 'metadata'>, topicId: string): boolean {
  const note = readNote(offset)
  return note === undefined || note.topicId === topicId
}
