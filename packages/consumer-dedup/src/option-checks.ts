import { OutboxError } from '@oncebox/core'

export function oneOf<Value extends string>(name: string, value: Value, values: readonly Value[]): Value {
  if (!values.includes(value))
    throw invalid(`${name} is ${JSON.stringify(value)}: one of ${values.join(', ')}`)
  return value
}

/** A whole number. */
export function within(
  name: string,
  value: number | undefined,
  byDefault: number,
  min: number,
  max: number,
): number {
  const number = value ?? byDefault
  if (!Number.isInteger(number) || number < min || number > max)
    throw invalid(`${name} is ${number}: a whole number from ${min} to ${max}`)
  return number
}

export function named(option: string, value: string): string {
  if (typeof value !== 'string' || value.length === 0 || value.length > 255)
    throw invalid(`${option} is 1 to 255 characters`)
  return value
}

export const invalid = (message: string): OutboxError => new OutboxError('CONSUMER_OPTIONS_INVALID', message)
