import { OutboxError } from '@oncebox/core'
import { DecompressedTooLarge } from '../codecs/codec.js'
import { codecOfId } from '../codecs/codecs.js'

/**
 * Decompresses the batches of one answer, whose records are in memory together, and bounds what they come to: the
 * answer's size says nothing about it.
 */
export class Decompression {
  readonly #bytesMax: number
  #bytes = 0

  /** @param bytesMax What all batches together may decompress to. */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /**
   * The records of a batch.
   *
   * @throws OutboxError KAFKA_BATCH_TOO_LARGE when the bound would be passed, KAFKA_CODEC_MISSING, KAFKA_PROTOCOL
   */
  records(body: Buffer, codecId: number, baseOffset: bigint): Buffer {
    const codec = codecOfId(codecId)
    const details = { offset: String(baseOffset) }
    if (codec === undefined) {
      throw new OutboxError(
        'KAFKA_PROTOCOL',
        `the batch at offset ${baseOffset} is compressed by a codec ${codecId} that Kafka did not have`,
        { details },
      )
    }
    try {
      const records = codec.decompress(body, this.#bytesMax - this.#bytes)
      this.#bytes += records.length
      return records
    } catch (cause) {
      const tooLarge = cause instanceof DecompressedTooLarge
      throw new OutboxError(
        tooLarge ? 'KAFKA_BATCH_TOO_LARGE' : 'KAFKA_PROTOCOL',
        tooLarge
          ? `the batch at offset ${baseOffset} decompresses (${codec.type}) to more than ${this.#bytesMax} bytes`
          : `the batch at offset ${baseOffset} does not decompress (${codec.type})`,
        { cause, details },
      )
    }
  }
}
