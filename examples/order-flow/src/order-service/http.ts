/** The HTTP interface. `POST /orders` may be repeated: the client chooses the id, and the same order is placed once. */
import Fastify, { type FastifyInstance } from 'fastify'
import type { Knex } from 'knex'
import { z } from 'zod'
import type { OrderRow } from './order-row.js'
import { newOrder, placeOrder, type NewOrder } from './place-order.js'

const orderId = z.object({ id: z.uuid() })

export function createHttp(knex: Knex): FastifyInstance {
  const http = Fastify({ forceCloseConnections: true, bodyLimit: 16_384 })

  http.get('/healthz', async () => {
    await knex.raw('select 1')
    return { status: 'ok' }
  })

  http.post('/orders', async (request, reply) => {
    const body = newOrder.safeParse(request.body)
    if (!body.success)
      return await reply.code(400).send({ error: 'this is not an order', issues: body.error.issues })
    const isNew = await placeOrder(knex, body.data)
    const row = await findOrder(knex, body.data.id)
    if (row === undefined || !sameOrder(row, body.data)) {
      return await reply
        .code(409)
        .send({ error: `${body.data.id} is the id of another order: choose a new one` })
    }
    return await reply.code(isNew ? 201 : 200).send(row)
  })

  http.get('/orders/:id', async (request, reply) => {
    const parameters = orderId.safeParse(request.params)
    const row = parameters.success ? await findOrder(knex, parameters.data.id) : undefined
    return row ?? (await reply.code(404).send({ error: 'there is no such order' }))
  })
  return http
}

const findOrder = (knex: Knex, id: string): Promise<OrderRow | undefined> =>
  knex<OrderRow>('orders').where({ id }).first()

const sameOrder = (row: OrderRow, order: NewOrder): boolean =>
  row.customer_id === order.customerId &&
  row.sku === order.sku &&
  row.quantity === order.quantity &&
  row.total_cents === order.totalCents
