import { WrongUse } from '../wrong-use.js'
export interface Contender {
  readonly name: string
  readonly script: 'drain-with-relay' | 'drain-with-kafkajs'
  /** Shards of the outbox; all of them are drained by one process. */
  readonly shards: number
  /** Whether a transaction that has written an event stays open from before the drain to after it. */
  readonly openTransaction: boolean
  /** Whose rate of the same round this one's is divided by. */
  readonly comparedWith?: Contender
}

/** Without `--shards` and `--open-transaction` the relay next to kafkajs, else the relay in each of those settings. */
export function contenders(values: Readonly<Record<string, string | undefined>>): readonly Contender[] {
  const { shards, 'open-transaction': openTransaction } = values
  if (shards === undefined && openTransaction === undefined) {
    const kafkajs = contender('kafkajs', 'drain-with-kafkajs')
    return [{ ...contender('relay', 'drain-with-relay'), comparedWith: kafkajs }, kafkajs]
  }
  return (shards ?? '1').split(',').flatMap((count) => {
    if (!/^[1-9]\d?$/.test(count))
      throw new WrongUse(`--shards ${shards}: give numbers from 1 to 99, as in 1,2,4`)
    const name = count === '1' ? 'relay' : `relay, ${count} shards`
    const plain = { ...contender(name, 'drain-with-relay'), shards: Number(count) }
    if (openTransaction === undefined) return [plain]
    return [
      plain,
      { ...plain, name: `${name}, open transaction`, openTransaction: true, comparedWith: plain },
    ]
  })
}

const contender = (name: string, script: Contender['script']): Contender => ({
  name,
  script,
  shards: 1,
  openTransaction: false,
})
