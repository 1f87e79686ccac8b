import { cpus } from 'node:os'
import { kafkaReleases, type KafkaVersion } from '@internal/stack'
import { cases } from '../cases/index.js'
import type { Client } from '../client.js'
import type { Result } from '../result.js'
import type { Verdict } from '../verdict.js'

export interface Report {
  readonly at: Date
  readonly clients: readonly Client[]
  readonly results: readonly Result[]
}

/** The report as a page of the documents: what was seen, when, and with what. */
export function markdown(report: Report): string {
  const kafkas = [...new Set(report.results.map(({ kafka }) => kafka))]
  return `${[
    introduction(report),
    clientsUsed(report),
    ...kafkas.map((kafka) => ofBroker(kafka, report)),
    casesPlayed(report),
  ].join('\n\n')}\n`
}

const introduction = ({ at }: Report): string =>
  `# Kafka clients under faults

What transactions of Kafka clients for Node.js do when something goes wrong between client and broker: lost and late requests
and answers, instances that wake up after they were replaced, brokers that move or die, and logs that are awkward to read.

Written by \`pnpm conformance --markdown FILE\` on ${at.toISOString().slice(0, 10)}, on ${cpus().length} cores; every line is what was seen in that
run, once. \`pnpm conformance --case NAME --client NAME --trace\` plays one of them again.

How to read it:

- Each client is used as its documentation says: begin, send, commit; after an error abort; a new producer when that fails, too.
- **pass**: what the client said is what became of it. Nothing that was acknowledged and committed was lost, nothing aborted was
  visible, nothing was there twice, and the client could go on. A transaction may fail, and "I do not know" is an honest answer.
- **FAIL**: one of these did not hold. A sentence below the table says what happened.
- unsupported: the client has no such feature. n/a: the client does not send what the case is about.
- What is in a topic is read by Apache's own consumer, \`read_committed\`, or by DumpLogSegments, past the fault proxy. No client is
  its own witness.
- Faults are single frames that a proxy loses, holds back or delivers later, as networks do, and real brokers that are killed. A
  frame comes a second time only if the client sent it twice.`

const clientsUsed = ({ clients }: Report): string =>
  `## Clients

| client | version | Node | used with |
|---|---|---|---|
${clients
  .map(
    ({ name, version, nodeVersion, settings }) =>
      `| ${name} | ${version} | ${nodeVersion.replace('v', '')} | ${settings.join('; ')} |`,
  )
  .join('\n')}

All of them: a transaction timeout of 30 s, except in transaction-timeout, 2 s, and in restart, where each has its own default.`

function ofBroker(kafka: KafkaVersion, { clients, results }: Report): string {
  const here = results.filter((result) => result.kafka === kafka)
  const names = clients.map(({ name }) => name)
  const played = [...new Set(here.map((result) => result.case))]
  const verdictOf = (name: string, client: string): Verdict | undefined =>
    here.find((result) => result.case === name && result.client === client)?.verdict
  const rows = played.map(
    (name) => `| ${name} | ${names.map((client) => word(verdictOf(name, client))).join(' | ')} |`,
  )
  return `## Kafka ${kafkaReleases[kafka].version}

| case | ${names.join(' | ')} |
|---|${names.map(() => '---|').join('')}
${rows.join('\n')}

${names.flatMap((client) => sentences(client, here)).join('\n\n')}`
}

function sentences(client: string, results: readonly Result[]): string[] {
  const told = results.filter((result) => result.client === client && result.verdict.sentence !== undefined)
  if (told.length === 0) return []
  const lines = told.map(
    ({ case: name, verdict }) => `- ${name}: ${word(verdict)}, ${inline(verdict.sentence ?? '')}`,
  )
  return [`**${client}**\n\n${lines.join('\n')}`]
}

const casesPlayed = ({ results }: Report): string => {
  const played = new Set(results.map((result) => result.case))
  return `## Cases

What must hold:

| case | promise |
|---|---|
${cases
  .filter(({ name }) => played.has(name))
  .map(({ name, promise }) => `| ${name} | ${promise} |`)
  .join('\n')}`
}

const words = {
  pass: 'pass',
  fail: '**FAIL**',
  unsupported: 'unsupported',
  'not-applicable': 'n/a',
  error: '**not found out**',
} as const satisfies Record<Verdict['kind'], string>

const word = (verdict: Verdict | undefined): string => (verdict === undefined ? '' : words[verdict.kind])

/** One line, without what Markdown would take for markup. */
const inline = (sentence: string): string =>
  sentence.replaceAll(/\s+/g, ' ').replaceAll(/[<>|*_]/g, (character) => `\\${character}`)
