import { verify as compare, type VerifyReport } from '@oncebox/relay'
import { defineCommand } from '../command.js'
import { exitCodes } from '../exit-code.js'
import { loadRelayOptions } from '../load-relay-options.js'
import { instantOf } from '../option-values.js'
import { table } from '../table.js'

const help = `oncebox verify [--config FILE] [--topic TOPIC]... [--since TIME] [--json]

Compares the outbox with its topics, event by event, while relays run: which events are lost, doubled, or out of order for
their key. Reads only. Judges the events that the outbox still has. Exit code 1 when it finds something.

  --config FILE   as for oncebox relay, with the same environment variables
  --topic TOPIC   only this topic; may be given several times
  --since TIME    only events that occurred since then, such as 2026-11-26T00:00:00Z
  --json          the report as one line of JSON
`

/** `oncebox verify`. */
export const verify = defineCommand({
  name: 'verify',
  synopsis: 'verify [--topic TOPIC] [--since TIME]',
  summary: 'compare the outbox with its topics, event by event',
  help,
  options: {
    config: { type: 'string' },
    topic: { type: 'string', multiple: true },
    since: { type: 'string' },
    json: { type: 'boolean' },
  },
  async run(values) {
    const since = instantOf('--since', values.since)
    const report = await compare(await loadRelayOptions(values.config, process.env), {
      ...(values.topic !== undefined && { topics: values.topic }),
      ...(since !== undefined && { since }),
      onProgress: (sentence) => process.stderr.write(`${sentence}\n`),
    })
    process.stdout.write(values.json === true ? `${JSON.stringify(report, asText)}\n` : describe(report))
    return report.ok ? exitCodes.done : exitCodes.failed
  },
})

/** JSON has no integers of 64 bits. */
const asText = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value)

const shownMax = 20

function describe({ ok, topics, lost, doubled, reordered, waiting, withoutRow }: VerifyReport): string {
  const rows = topics.map(({ topic, present, absentAfterPublication, gone, unknown, deadLetters }) =>
    [topic, present, absentAfterPublication, gone, unknown, deadLetters].map(String),
  )
  const lines = [
    ...lost.events.slice(0, shownMax).map(({ topic, id, seq }) => `lost: ${topic} ${id} seq ${seq}`),
    ...doubled.events
      .slice(0, shownMax)
      .map(({ topic, id, places }) => `doubled: ${topic} ${id} at ${places.join(', ')}`),
    ...reordered.pairs
      .slice(0, shownMax)
      .map(
        ({ topic, partition, early, late }) =>
          `out of order: ${topic}-${partition}@${late.offset} (seq ${late.seq}) behind @${early.offset} (seq ${early.seq})`,
      ),
  ]
  return [
    table([['topic', 'present', 'lost', 'gone', 'unknown', 'dead letters'], ...rows]),
    ...lines.map((line) => `${line}\n`),
    `${lost.count} lost, ${doubled.count} doubled, ${reordered.count} out of order; ${waiting} not published yet, ${withoutRow} records without a row\n`,
    ok ? '' : 'see docs/operations/failover-and-restore.md: oncebox adopt --anyway publishes what is lost\n',
  ].join('')
}
