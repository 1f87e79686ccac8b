// Consumers in mode `inbox`, by topic: for how long they remember, and how far the last of their partitions is behind. Of a topic
// that was created again the newest counts.
export const readWindows = `
  with topics as (
         select distinct on (consumer, topic) consumer, topic, topic_id
           from inbox.positions
          order by consumer, topic, at desc)
  select w.consumer, t.topic, w.window_ms::float8 as window_ms, w.by_clock,
         case when bool_or(p.low_at is null) then null
              else greatest(0, extract(epoch from clock_timestamp() - min(p.low_at)) * 1000) end::float8 as behind_ms
    from inbox.windows w
    left join topics t on t.consumer = w.consumer and not w.by_clock
    left join inbox.positions p on p.consumer = t.consumer and p.topic = t.topic and p.topic_id = t.topic_id
   group by w.consumer, t.topic, w.window_ms, w.by_clock
   order by w.consumer, t.topic`
