import { figure, type Figure } from '../benchmark.js'
import { rate, type Drained } from '../drained.js'
import type { ClientName } from './client.js'

const ours: readonly ClientName[] = ['ours', 'ours, one at a time']
/** One transactional id waits for the markers of its last transaction: what the second one is worth. */
const others: readonly ClientName[] = ['ours, one id', 'java', 'kafkajs', 'platformatic']

/** Events per second by transaction size, client and round. */
export class Samples {
  readonly #bySize = new Map<number, Map<ClientName, number[]>>()

  add(client: ClientName, eventsPerTransaction: number, drained: Drained): void {
    const byClient = this.#bySize.get(eventsPerTransaction) ?? new Map<ClientName, number[]>()
    this.#bySize.set(eventsPerTransaction, byClient)
    byClient.set(client, [...(byClient.get(client) ?? []), rate(drained)])
  }

  /** Rates, then ratios of drains of the same round. */
  figures(): Figure[] {
    return [...this.#bySize].flatMap(([size, byClient]) => [
      ...[...ours, ...others].flatMap((client) => {
        const rates = byClient.get(client)
        return rates === undefined ? [] : [figure(`${client}, ${size}`, 'events/s', rates)]
      }),
      ...ours.flatMap((own) => others.flatMap((other) => ratio(byClient, own, other, size))),
    ])
  }
}

function ratio(
  byClient: ReadonlyMap<ClientName, readonly number[]>,
  own: ClientName,
  other: ClientName,
  size: number,
): Figure[] {
  const theirs = byClient.get(other)
  if (theirs === undefined) return []
  const ratios = (byClient.get(own) ?? []).map((mine, round) => mine / (theirs[round] ?? Number.NaN))
  return [figure(`${own} / ${other}, ${size}`, 'x', ratios)]
}
