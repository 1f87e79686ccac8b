import { once } from 'node:events'
import { tailEvents, type TailedEvent } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { databaseOf } from '../database-options.js'
import { exitCodes } from '../exit-code.js'
import { printable } from '../table.js'

const help = `oncebox tail [--database URL | --config FILE] [--topic TOPIC]... [--json]

Prints the events that commit from now on, as they commit, without their payloads, until SIGINT or SIGTERM.

  --database URL  default: ONCEBOX_DATABASE_URL
  --config FILE   as for oncebox relay, for its db
  --topic TOPIC   only events of this topic. May be given several times
  --json          one JSON object a line
`

const stopSignals = ['SIGTERM', 'SIGINT'] as const

/** `oncebox tail`. */
export const tail = defineCommand({
  name: 'tail',
  synopsis: 'tail [--topic TOPIC]',
  summary: 'print the events that commit from now on',
  help,
  options: {
    database: { type: 'string' },
    config: { type: 'string' },
    topic: { type: 'string', multiple: true },
    json: { type: 'boolean' },
  },
  async run(values) {
    const db = await databaseOf(values, process.env)
    const stopping = new AbortController()
    const stop = (): void => stopping.abort()
    for (const signal of stopSignals) process.once(signal, stop)
    process.stdout.once('error', stop) // the reader of a pipe has gone
    const write = values.json === true ? (event: TailedEvent) => JSON.stringify(event) : lineOf
    for await (const event of tailEvents(db, { signal: stopping.signal, topics: values.topic ?? [] }))
      if (!process.stdout.write(`${write(event)}\n`) && !stopping.signal.aborted)
        await once(process.stdout, 'drain', { signal: stopping.signal }).catch(() => undefined)
    return exitCodes.done
  },
})

const lineOf = ({ occurredAt, topic, type, key, id, payloadBytes }: TailedEvent): string =>
  `${occurredAt}  ${printable(topic)}  ${printable(type)}  key ${key === null ? 'none' : printable(JSON.stringify(key))}  ${id}  ${payloadBytes === null ? 'tombstone' : `${payloadBytes} bytes`}`
