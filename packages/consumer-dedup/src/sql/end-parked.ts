// In the transaction of the effect, with the key locked. 0 when somebody else holds the event by now.
export const endParked = `
  with released as (
         delete from inbox.parked where number = $1::bigint and holder = $2::uuid and not replay returning 1),
       replayed as (
         update inbox.parked
            set state = 'replayed', finished_at = clock_timestamp(), holder = null, lease_until = null,
                suspect = false, alone_in = null
          where number = $1::bigint and holder = $2::uuid and replay
         returning 1)
  select ((select count(*) from released) + (select count(*) from replayed))::int as ended`
