import { randomUUID } from 'node:crypto'
import { channels, OutboxError } from '@oncebox/core'
import { assertSupported, readDurable, type Looked } from './server.js'
import { runScript, type RedisClient, type Script, type ScriptCall } from './script.js'
import { look } from './scripts/look.js'
import { noteDurability } from './scripts/note-durability.js'
import { renew } from './scripts/renew.js'
import { resume } from './scripts/resume.js'

/** Why a Redis cannot be relied upon to remember. */
export type RedisLoss =
  /** There is no sentinel: it is new, was flushed, or was restarted without its data. */
  | 'missing'
  /** Another process has the data, and not all of it was on disk before it was answered. */
  | 'restarted'
  /** A replica was promoted: writes that it did not have yet are gone. */
  | 'promoted'
  /** It was set back to an older state: this client has seen a newer one. */
  | 'rewound'
  /** Keys were evicted. */
  | 'evicted'
  /** It would evict keys: its maxmemory-policy is not noeviction. */
  | 'evicting'

export interface MemoryOptions {
  readonly redis: RedisClient
  readonly consumer: string
  readonly sentinelKey: string
  /** For how long a missing mark proves nothing, after a loss that was not accepted by a person. */
  readonly doubtMs: number
  /** Whether somebody else can be asked about an event, so that a loss stops nobody. */
  readonly canAsk: boolean
  readonly timeoutMs: number
}

type Argument = string | number | Buffer

export interface MemoryCall extends Pick<ScriptCall, 'signal' | 'sent'> {
  readonly keys: readonly string[]
  readonly args: readonly Argument[]
}

/** What a script answered: its word, and what belongs to it. */
export interface Answer {
  readonly status: string
  readonly rest: readonly unknown[]
}

// Durability is set by CONFIG, which scripts may not read: it is read beside them, so often.
const durableReadEveryMs = 1_000
// A loss, its repair, and one more server that was replaced meanwhile.
const turnsMax = 4

/** Runs the scripts of a store, each of which first looks whether Redis still has its memory, and acts on it if not. */
export class RedisMemory {
  readonly #options: MemoryOptions
  #incarnation = ''
  #sequence = 0
  #lookedAt = Number.NEGATIVE_INFINITY
  #looking: Promise<unknown> | undefined

  constructor(options: MemoryOptions) {
    this.#options = options
  }

  /** @throws OutboxError CONSUMER_REDIS_AMNESIA, CONSUMER_REDIS_EVICTS, CONSUMER_REDIS_UNSUPPORTED, CONSUMER_REDIS_UNAVAILABLE */
  async run(script: Script, call: MemoryCall): Promise<Answer> {
    if (performance.now() - this.#lookedAt >= durableReadEveryMs) await this.#lookTogether()
    for (let turn = 1; ; turn += 1) {
      const answer = await this.#evaluate(script, call)
      if (answer.status !== 'amnesia') return answer
      await this.#repair(lossOf(answer.rest[0]), turn, call.signal)
    }
  }

  /** For all calls that come meanwhile: nobody's signal ends it for the others, and it is bounded. */
  async #lookTogether(): Promise<void> {
    this.#looking ??= this.look().finally(() => {
      this.#looking = undefined
    })
    await this.#looking
  }

  /** Looks at the server: its version, and whether it writes to disk before it answers. */
  async look(signal?: AbortSignal): Promise<Looked> {
    const { rest } = await this.#evaluate(look, { keys: [], args: [], signal })
    const [version, run, aof, rewriting, durable, loss] = rest.map(String)
    const looked: Looked = {
      version: version ?? '',
      run: run ?? '',
      // While a rewrite runs, an append-only file that was just switched on is not complete.
      durable:
        aof === '1' &&
        (rewriting === '0' || durable === '1') &&
        (await readDurable(this.#options.redis, this.#options.timeoutMs)),
      loss: loss === undefined || loss === '' ? undefined : lossOf(loss),
    }
    assertSupported(looked)
    if (durable !== '' && looked.durable !== (durable === '1'))
      await this.#evaluate(noteDurability, {
        keys: [],
        args: [looked.run, looked.durable ? 1 : 0],
        signal,
      })
    this.#lookedAt = performance.now()
    return looked
  }

  /** Repairs what can be repaired, and throws for what cannot: as before each script, without running one. */
  async check(signal?: AbortSignal): Promise<void> {
    for (let turn = 1; ; turn += 1) {
      const { loss } = await this.look(signal)
      if (loss === undefined) return
      await this.#repair(loss, turn, signal)
    }
  }

  /** Begins a new incarnation, if the memory is lost. Resolves with what it had been lost by. */
  async renew(doubtMs: number, signal?: AbortSignal): Promise<RedisLoss | undefined> {
    const { status, rest } = await this.#evaluate(renew, { keys: [], args: [randomUUID(), doubtMs], signal })
    if (status === 'intact') return undefined
    if (status === 'evicting') throw this.#lossError('evicting')
    await this.look(signal) // notes whether the server is durable
    const loss = lossOf(rest[0])
    this.#tell(loss, true)
    return loss
  }

  async #repair(loss: RedisLoss, turn: number, signal: AbortSignal | undefined): Promise<void> {
    if (loss === 'restarted' && turn < turnsMax && (await this.#resume(signal))) return
    if (this.#options.canAsk && loss !== 'evicting' && turn < turnsMax) {
      await this.renew(this.#options.doubtMs, signal)
      return
    }
    this.#tell(loss, false)
    throw this.#lossError(loss)
  }

  /** True when the script is worth another run: nothing was lost, or somebody else has seen to it. */
  async #resume(signal: AbortSignal | undefined): Promise<boolean> {
    const looked = await this.look(signal)
    if (looked.loss !== 'restarted') return true
    if (!looked.durable) return false
    return (await this.#evaluate(resume, { keys: [], args: [looked.run], signal })).status !== 'refused'
  }

  async #evaluate(script: Script, { keys, args, signal, sent }: MemoryCall): Promise<Answer> {
    const { redis, sentinelKey, timeoutMs } = this.#options
    const reply = await runScript(redis, script, {
      keys: [sentinelKey, ...keys],
      args: [this.#incarnation, this.#sequence, ...args],
      timeoutMs,
      signal,
      sent,
    })
    // The shape of `answer` in scripts/sentinel.ts.
    const [status, incarnation, sequence, ...rest] = reply as [string, string, number | string, ...unknown[]]
    this.#saw(incarnation, Number(sequence)) // a client with stringNumbers answers with texts
    return { status, rest }
  }

  #saw(incarnation: string, sequence: number): void {
    if (incarnation === '') return
    this.#sequence = incarnation === this.#incarnation ? Math.max(this.#sequence, sequence) : sequence
    this.#incarnation = incarnation
  }

  #tell(loss: RedisLoss, renewed: boolean): void {
    const { consumer } = this.#options
    channels.consumerRedisAmnesia.publish({ consumer, loss, renewed, incarnation: this.#incarnation })
  }

  #lossError(loss: RedisLoss): OutboxError {
    const { consumer } = this.#options
    const details = { consumer, loss, incarnation: this.#incarnation }
    if (loss === 'evicting')
      return new OutboxError(
        'CONSUMER_REDIS_EVICTS',
        'the maxmemory-policy of Redis is not noeviction: it would forget events that are done',
        { details },
      )
    return new OutboxError('CONSUMER_REDIS_AMNESIA', `${consumer}: ${lossText[loss]}`, { details })
  }
}

const lossText: Readonly<Record<RedisLoss, string>> = {
  missing: 'Redis knows nothing of this consumer: it is new, or was flushed, or lost its data in a restart',
  restarted:
    'Redis was restarted or replaced, and did not have everything on disk: it may have lost its last marks',
  promoted: 'a replica was promoted: marks that it did not have yet are lost',
  rewound: 'Redis was set back to an older state: marks that it had are lost',
  evicted: 'Redis has evicted keys: marks may be among them',
  evicting: 'Redis would evict keys',
}

/** Of the words of scripts/sentinel.ts. */
function lossOf(word: unknown): RedisLoss {
  const loss = String(word)
  if (Object.hasOwn(lossText, loss)) return loss as RedisLoss // a key of the record of all losses
  throw new OutboxError('CONSUMER_REDIS_UNAVAILABLE', `Redis answered something unknown: ${loss}`)
}
