// Makes and empties days of marks: what to do, and how it is done without a wait, is in the function.
export const keepMarks = `
  select held_by as "heldBy", held_topic as "heldTopic", made, emptied,
         case when oldest is not null then greatest(0, extract(epoch from clock_timestamp() - oldest) * 1000) end::float8
           as "oldestMs"
    from inbox.keep_marks()`

export const readClock = `select clock_timestamp() as now`
