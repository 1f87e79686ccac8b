/** The effect of an event, the same whoever makes it: a row. */
export const createEffects = `create table effects (id uuid not null, key text not null, value integer not null)`

export const insertEffect = `insert into effects (id, key, value) values ($1, $2, $3)`

export const insertEffects = `
  insert into effects (id, key, value)
  select * from unnest($1::uuid[], $2::text[], $3::integer[])`
