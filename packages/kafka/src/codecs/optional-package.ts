import { createRequire } from 'node:module'
import { OutboxError } from '@oncebox/core'

const load = createRequire(import.meta.url)

/**
 * A package that only some users need, loaded when its codec is first used. Synchronous, as a batch that was fetched is
 * decoded in one go.
 *
 * @throws OutboxError KAFKA_CODEC_MISSING, when the package or its binary for this platform is not installed
 */
export function optionalPackage(name: string, codec: string): unknown {
  try {
    return load(name)
  } catch (cause) {
    throw new OutboxError('KAFKA_CODEC_MISSING', `${codec} needs the package ${name}: pnpm add ${name}`, {
      cause,
      details: { codec, package: name },
    })
  }
}
