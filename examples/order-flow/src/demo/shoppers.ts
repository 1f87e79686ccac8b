/** The customers: they place orders over HTTP, several at a time, and repeat whatever got no answer. */
import { delay, nextDelayMs } from '@oncebox/core'
import type { NewOrder } from '../order-service/place-order.js'

const shoppersAtOnce = 16
const backoff = { minMs: 20, maxMs: 500 }
const answerWithinMs = 10_000
const attemptsMax = 200

/** Resolves when every order was acknowledged. `onPlaced` hears of each. */
export async function placeOrders(
  url: string,
  orders: readonly NewOrder[],
  signal: AbortSignal,
  onPlaced: (order: NewOrder) => void,
): Promise<void> {
  const waiting = orders.values()
  const shop = async (): Promise<void> => {
    for (const order of waiting) {
      await placeUntilAnswered(url, order, signal)
      onPlaced(order)
    }
  }
  await Promise.all(Array.from({ length: shoppersAtOnce }, shop))
}

/** The order's id is the client's, so a request may be repeated: whether the first one arrived does not matter. */
async function placeUntilAnswered(url: string, order: NewOrder, signal: AbortSignal): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    const answer = await placeOnce(url, order, signal)
    if (answer === undefined) return
    if (attempt === attemptsMax)
      throw new Error(`order ${order.id} was not accepted in ${attemptsMax} tries: ${answer}`)
    await delay(nextDelayMs(backoff, attempt), signal)
  }
}

/** Why it must be tried again; undefined when the order is placed. */
async function placeOnce(url: string, order: NewOrder, signal: AbortSignal): Promise<string | undefined> {
  let response: Response
  try {
    response = await fetch(`${url}/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(order),
      signal: AbortSignal.any([signal, AbortSignal.timeout(answerWithinMs)]),
    })
    await response.text()
  } catch (error) {
    signal.throwIfAborted()
    return `no answer: ${error instanceof Error ? error.message : String(error)}` // the service was killed, or is not up again
  }
  if (response.ok) return undefined
  if (response.status < 500) throw new Error(`order ${order.id} was refused with status ${response.status}`)
  return `status ${response.status}`
}
