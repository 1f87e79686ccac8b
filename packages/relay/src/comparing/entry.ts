/** What is kept of an event in a {@link Spill}: some bytes, read in place. */
export class Entry {
  protected readonly bytes: Buffer

  constructor(bytes: Buffer) {
    this.bytes = bytes
  }

  copyTo(entry: Buffer): void {
    this.bytes.copy(entry)
  }

  /** Id and source: what makes two of them the same event. The source as the first bytes of its hash. */
  get name(): Buffer {
    return this.bytes.subarray(0, 24)
  }

  get id(): string {
    return uuidText(this.bytes)
  }

  get topic(): number {
    return this.bytes.readUInt16BE(24)
  }
}

export interface EntryFields {
  readonly id: Buffer
  /** As {@link sourceHash} names it. */
  readonly source: Buffer
  readonly topic: number
}

/** What all entries begin with. */
export function writeName(entry: Buffer, { id, source, topic }: EntryFields): void {
  id.copy(entry, 0)
  source.copy(entry, 16)
  entry.writeUInt16BE(topic, 24)
}

const uuidText = (bytes: Buffer): string =>
  bytes.toString('hex', 0, 16).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')

const uuidForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** Sixteen bytes; undefined when the text is no UUID. */
export const uuidBytes = (text: string): Buffer | undefined =>
  uuidForm.test(text) ? Buffer.from(text.replaceAll('-', ''), 'hex') : undefined
