import { createInterface } from 'node:readline'
import { Unsupported, unsupportedComplaint, type Complaint, type Driver } from './driver.js'
import type { Message, Request } from './driver-messages.js'

/** Takes the steps that arrive on standard input, several at once if so asked, until its end; the process ends with it. */
export async function serve(driver: Driver): Promise<void> {
  const write = process.stdout.write.bind(process.stdout)
  // Standard output is the suite's. What a client has to say of its own accord goes to standard error.
  process.stdout.write = process.stderr.write.bind(process.stderr)
  const tell = (message: Message): void => void write(`${JSON.stringify(message)}\n`)

  const answer = async ({ id, step, argument }: Request): Promise<void> => {
    try {
      // The suite calls by name, with what the step takes.
      const take = driver[step] as (argument: unknown, onRecords: unknown) => Promise<unknown>
      const value = await take.call(driver, argument, (records: never) => tell({ records }))
      tell({ id, value: value ?? null })
    } catch (error) {
      tell({ id, complaint: complaintOf(driver, error) })
    }
  }
  for await (const line of createInterface({ input: process.stdin })) void answer(JSON.parse(line) as Request)
  process.exit(0)
}

const complaintOf = (driver: Driver, error: unknown): Complaint =>
  error instanceof Unsupported ? unsupportedComplaint(error) : driver.complaint(error)
