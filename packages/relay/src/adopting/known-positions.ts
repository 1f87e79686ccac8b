import type { Client } from 'pg'
import type { KafkaClient } from '@oncebox/kafka'
import { placeName } from '../comparing/evidence.js'
import { findDivergence } from '../opening/prove-position.js'
import type { ResolvedRelayOptions } from '../options.js'
import type { Position } from '../position.js'
import { findProgressTopic, readPosition, type OutboxState } from './outbox-state.js'

export interface ReadPositionsRequest {
  readonly kafka: KafkaClient
  readonly resolved: ResolvedRelayOptions
  readonly signal: AbortSignal
}

/** The last position of every shard that was ever mapped, by shard, as they can be read without taking one. */
export async function readPositions(
  { kafka, resolved, signal }: ReadPositionsRequest,
  { shardsEverMapped }: OutboxState,
): Promise<ReadonlyMap<number, Position>> {
  const progress = await findProgressTopic(kafka, resolved.progressTopic, signal)
  const positions = new Map<number, Position>()
  if (progress === undefined) return positions
  for (const shard of shardsEverMapped) {
    const position = await readPosition(kafka, progress, shard, signal)
    if (position !== undefined) positions.set(shard, position)
  }
  return positions
}

/** A mirror may have begun anywhere, so that the beginning of its log proves nothing. */
export function isOwnCluster(
  { bound }: OutboxState,
  positions: ReadonlyMap<number, Position>,
  clusterId: string,
): boolean {
  const others = [bound?.clusterId, ...[...positions.values()].map((position) => position.clusterId)]
  return others.every((other) => other === undefined || other === clusterId)
}

/** Those positions that are of this database's history, by place: they say what was published last. */
export async function provenPositions(
  client: Client,
  positions: ReadonlyMap<number, Position>,
): Promise<ReadonlyMap<string, Position>> {
  const proven = new Map<string, Position>()
  for (const [shard, position] of positions) {
    if ((await findDivergence(client, shard, position)) !== undefined) continue
    proven.set(placeName({ numbering: 'native', generation: position.window.generation, shard }), position)
  }
  return proven
}
