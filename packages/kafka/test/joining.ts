/** Members of groups under observation. */
import { onTestFinished } from 'vitest'
import type { OutboxError } from '@oncebox/core'
import {
  joinGroup,
  type GroupAssignment,
  type GroupMember,
  type GroupMemberOptions,
  type KafkaClient,
} from '../src/index.js'

export interface Joined {
  readonly member: GroupMember
  /** Assignments so far. */
  readonly assignments: readonly GroupAssignment[]
  readonly troubles: readonly OutboxError[]
  readonly failures: readonly OutboxError[]
  /** Resolves with the first assignment, from now on, for which it holds. */
  assignment(holds?: (assignment: GroupAssignment) => boolean): Promise<GroupAssignment>
}

/** Joins with short timeouts. `work` is what is done with an assignment; without it, nothing is ever in hand. */
export function join(
  client: KafkaClient,
  {
    work,
    ...options
  }: Partial<GroupMemberOptions> & {
    readonly groupId: string
    readonly topics: readonly string[]
    readonly work?: (assignment: GroupAssignment) => Promise<void>
  },
): Joined {
  const assignments: GroupAssignment[] = []
  const troubles: OutboxError[] = []
  const failures: OutboxError[] = []
  const waiting = new Set<() => void>()
  const member = joinGroup(client, {
    sessionTimeoutMs: 6_000, // the shortest that a broker allows by default
    heartbeatIntervalMs: 100,
    rebalanceTimeoutMs: 10_000,
    ...options,
    onAssigned: async (assignment) => {
      assignments.push(assignment)
      waiting.forEach((look) => look())
      await work?.(assignment)
    },
    onTrouble: (error) => troubles.push(error),
    onFailed: (error) => {
      failures.push(error)
      waiting.forEach((look) => look())
    },
  })
  onTestFinished(() => member.leave())
  return {
    member,
    assignments,
    troubles,
    failures,
    assignment: (holds = () => true) =>
      new Promise((resolve, reject) => {
        let seen = Math.max(0, assignments.length - 1) // the current one counts
        const timer = setTimeout(() => {
          waiting.delete(look)
          reject(
            new Error(`no such assignment; so far ${assignments.map(describe).join(' | ') || 'none'}`, {
              cause: troubles.at(-1),
            }),
          )
        }, 30_000)
        function look(): void {
          for (; seen < assignments.length; seen++) {
            const assignment = assignments[seen]
            if (assignment === undefined || assignment.ending.aborted || !holds(assignment)) continue
            clearTimeout(timer)
            waiting.delete(look)
            return resolve(assignment)
          }
          if (failures.length === 0) return
          clearTimeout(timer)
          waiting.delete(look)
          reject(failures[0])
        }
        waiting.add(look)
        look()
      }),
  }
}

/** `topic-0 topic-1`. */
export const describe = ({ partitions }: GroupAssignment): string =>
  partitions
    .map(({ topic, partition }) => `${topic}-${partition}`)
    .toSorted()
    .join(' ')

export const holds =
  (count: number) =>
  ({ partitions }: GroupAssignment): boolean =>
    partitions.length === count
