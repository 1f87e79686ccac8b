import { expect } from 'vitest'
import { describeVerdict } from '@internal/audit'
import {
  adopt,
  createRelay,
  type AdoptionReport,
  type AdoptOptions,
  type RelayOptions,
} from '../src/index.js'
import { untilPublished, type Bed } from './bed.js'

/** Adopts, and says yes to what is asked. */
export const adoptNow = async (
  bed: Bed,
  options: AdoptOptions & { readonly relay?: Partial<RelayOptions> } = {},
): Promise<AdoptionReport> =>
  await adopt(
    { ...bed.options, ...options.relay },
    { confirm: async () => await Promise.resolve(true), ...options },
  )

/** The relay does not start, and says what to run. */
export async function expectDiverged(bed: Bed, relay: Partial<RelayOptions> = {}): Promise<void> {
  await expect(createRelay({ ...bed.options, ...relay }).start()).rejects.toMatchObject({
    code: 'RELAY_HISTORY_DIVERGED',
    remedy: expect.stringContaining('oncebox adopt') as string,
  })
}

/**
 * The relay starts by itself and publishes what is emitted now; nothing is lost, doubled or invented.
 * @param phantoms Published events that the database has lost.
 */
export async function expectToGoOn(
  bed: Bed,
  {
    events = 20,
    phantoms = 0,
    relay: options = {},
  }: { events?: number; phantoms?: number; relay?: Partial<RelayOptions> } = {},
): Promise<void> {
  await using relay = createRelay({ ...bed.options, ...options })
  const published = untilPublished(bed.relayName, events)
  await relay.start()
  await bed.emit(Array.from({ length: events }, (_, n) => `later-${n % 5}`))
  await published
  await expectOnlyPhantoms(bed, phantoms)
}

/** Every event of the database is in its topic once, in order, and beside them so many that the database has lost. */
export async function expectOnlyPhantoms(bed: Bed, phantoms: number): Promise<void> {
  const verdict = await bed.verdict()
  expect(verdict.totals, describeVerdict(verdict).join('\n')).toEqual({
    lost: 0,
    duplicated: 0,
    reordered: 0,
    phantom: phantoms,
    misplaced: 0,
    corrupt: 0,
  })
}
