import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { OutboxError } from '@oncebox/core'
import { defineRelay, type RelayOptions } from '@oncebox/relay'

const defaultHttp = { host: '127.0.0.1', port: 9464 }

/**
 * The options of the daemon: those of the file, then those of the environment, which win.
 * @throws OutboxError CLI_CONFIG_INVALID, CLI_USAGE, RELAY_OPTIONS_INVALID
 */
export async function loadRelayOptions(
  file: string | undefined,
  environment: NodeJS.ProcessEnv,
): Promise<RelayOptions> {
  const config: Partial<RelayOptions> = file === undefined ? {} : await importConfig(file)
  const name = environment['ONCEBOX_RELAY_NAME'] ?? config.name
  const connectionString = environment['ONCEBOX_DATABASE_URL']
  const brokers = environment['ONCEBOX_KAFKA_BROKERS']?.split(',').map((broker) => broker.trim())
  const db = connectionString === undefined ? config.db : { ...config.db, connectionString }
  const kafka = brokers === undefined ? config.kafka : { ...config.kafka, brokers }
  if (name === undefined) throw missing('a name', 'ONCEBOX_RELAY_NAME')
  if (db === undefined) throw missing('a database', 'ONCEBOX_DATABASE_URL')
  if (kafka === undefined) throw missing('Kafka brokers', 'ONCEBOX_KAFKA_BROKERS')
  const eventsMax = wholeNumber(environment, 'ONCEBOX_BATCH_EVENTS_MAX')
  const keepTransactionsWhole = onOrOff(environment, 'ONCEBOX_BATCH_KEEP_TRANSACTIONS_WHOLE')
  const idleMsMax = wholeNumber(environment, 'ONCEBOX_POLL_IDLE_MS_MAX')
  const listen = onOrOff(environment, 'ONCEBOX_POLL_LISTEN')
  const leaseMs = wholeNumber(environment, 'ONCEBOX_LEASE_MS')
  const rotation = rotationOf(environment)
  return defineRelay({
    ...config,
    name,
    db,
    kafka,
    batch: {
      ...config.batch,
      ...(eventsMax !== undefined && { eventsMax }),
      ...(keepTransactionsWhole !== undefined && { keepTransactionsWhole }),
    },
    poll: {
      ...config.poll,
      ...(idleMsMax !== undefined && { idleMsMax }),
      ...(listen !== undefined && { listen }),
    },
    ...(leaseMs === undefined ? {} : { leaseMs }),
    rotation: { ...config.rotation, ...rotation },
    http: http(config, environment),
  })
}

function rotationOf(environment: NodeJS.ProcessEnv): NonNullable<RelayOptions['rotation']> {
  const retentionMs = wholeNumber(environment, 'ONCEBOX_ROTATION_RETENTION_MS')
  const slotMs = wholeNumber(environment, 'ONCEBOX_ROTATION_SLOT_MS')
  const slotBytes = wholeNumber(environment, 'ONCEBOX_ROTATION_SLOT_BYTES')
  const intervalMs = wholeNumber(environment, 'ONCEBOX_ROTATION_INTERVAL_MS')
  return {
    ...(retentionMs === undefined ? {} : { retentionMs }),
    ...(slotMs === undefined ? {} : { slotMs }),
    ...(slotBytes === undefined ? {} : { slotBytes }),
    ...(intervalMs === undefined ? {} : { intervalMs }),
  }
}

function http(
  config: Partial<RelayOptions>,
  environment: NodeJS.ProcessEnv,
): NonNullable<RelayOptions['http']> {
  if (environment['ONCEBOX_HTTP_PORT'] === 'off') return false
  const port = wholeNumber(environment, 'ONCEBOX_HTTP_PORT')
  const host = environment['ONCEBOX_HTTP_HOST']
  if (config.http === false && port === undefined) return false
  const base = config.http === undefined || config.http === false ? defaultHttp : config.http
  return { ...base, ...(port === undefined ? {} : { port }), ...(host === undefined ? {} : { host }) }
}

async function importConfig(file: string): Promise<RelayOptions> {
  let module: { readonly default?: unknown }
  try {
    // Any module may be named; what it exports is checked below and by defineRelay.
    module = (await import(pathToFileURL(resolve(file)).href)) as { readonly default?: unknown }
  } catch (cause) {
    throw new OutboxError('CLI_CONFIG_INVALID', `${file} cannot be loaded`, { cause })
  }
  const options = module.default
  if (typeof options !== 'object' || options === null)
    throw new OutboxError('CLI_CONFIG_INVALID', `${file} has no default export of relay options`)
  return options as RelayOptions
}

function wholeNumber(environment: NodeJS.ProcessEnv, variable: string): number | undefined {
  const value = environment[variable]
  if (value === undefined) return undefined
  if (!/^\d{1,15}$/.test(value))
    throw new OutboxError('CLI_USAGE', `${variable} is ${JSON.stringify(value)}: it must be a whole number`)
  return Number(value)
}

function onOrOff(environment: NodeJS.ProcessEnv, variable: string): boolean | undefined {
  const value = environment[variable]
  if (value === undefined || value === 'on' || value === 'off')
    return value === undefined ? undefined : value === 'on'
  throw new OutboxError('CLI_USAGE', `${variable} is ${JSON.stringify(value)}: it must be on or off`)
}

const missing = (what: string, variable: string): OutboxError =>
  new OutboxError(
    'CLI_USAGE',
    `the relay has no ${what.replace(/^an? /, '')}: give --config FILE or set ${variable}`,
  )
