import { parseArgs } from 'node:util'
import type { KafkaVersion } from '@internal/stack'
import type { Case } from './case.js'
import { cases } from './cases/index.js'
import type { ClientSource } from './clients/client-source.js'
import { clientSources } from './clients/index.js'
import { ourName } from './clients/ours.js'
import { kafkaVersions } from './ground/ground.js'

export interface Command {
  readonly clients: readonly ClientSource[]
  /** Whether clients were asked for by name. */
  readonly wanted: boolean
  readonly cases: readonly Case[]
  readonly kafkaVersions: readonly KafkaVersion[]
  /** Tell what each step of each client came to. */
  readonly trace: boolean
  readonly json: string | undefined
  readonly markdown: string | undefined
}

/** The command was given options that do not exist, or values that they do not take. */
export class WrongUse extends Error {
  override readonly name = 'WrongUse'
}

const indent = (lines: readonly string[]): string => lines.map((line) => `  ${line}\n`).join('')
const caseNameWidth = Math.max(...cases.map(({ name }) => name.length))

export const usage = `pnpm conformance [options]

What Kafka clients do with a transaction when something goes wrong: real brokers, faults from a proxy, and Apache's own
consumer as the judge of what is in a topic. Exit code 0: ${ourName} passes all that was run, and so does every client that
was asked for by name. 1: one of them does not. 2: wrong use. 3: Kafka or a client cannot be had.

  --client NAME    ${clientSources.map(({ name }) => name).join(', ')}; can be repeated; all unless given
  --case NAME      can be repeated; all unless given
  --kafka VERSION  ${kafkaVersions.join(' or ')}; can be repeated; both unless given
  --json FILE      write the results
  --markdown FILE  write the report
  --trace          tell on standard error what each step of each client came to
  --help           this text

cases:
${indent(cases.map(({ name, promise }) => `${name.padEnd(caseNameWidth)}  ${promise}`))}`

/** @throws WrongUse */
export function parseCommand(args: readonly string[]): Command | 'help' {
  const { values } = parse(args)
  if (values.help === true) return 'help'
  return {
    clients: chosen('client', clientSources, values.client),
    wanted: values.client !== undefined,
    cases: chosen('case', cases, values.case),
    kafkaVersions: chosen(
      'Kafka version',
      kafkaVersions.map((name) => ({ name })),
      values.kafka,
    ).map(({ name }) => name),
    trace: values.trace === true,
    json: values.json,
    markdown: values.markdown,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        client: { type: 'string', multiple: true },
        case: { type: 'string', multiple: true },
        kafka: { type: 'string', multiple: true },
        json: { type: 'string' },
        markdown: { type: 'string' },
        trace: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    })
  } catch (error) {
    throw new WrongUse(error instanceof Error ? error.message : String(error))
  }
}

function chosen<Named extends { readonly name: string }>(
  what: string,
  all: readonly Named[],
  names: readonly string[] | undefined,
): readonly Named[] {
  const unknown = names?.find((name) => !all.some((one) => one.name === name))
  if (unknown !== undefined)
    throw new WrongUse(
      `there is no ${what} ${JSON.stringify(unknown)}: ${all.map(({ name }) => name).join(', ')}`,
    )
  return names === undefined ? all : all.filter(({ name }) => names.includes(name))
}
