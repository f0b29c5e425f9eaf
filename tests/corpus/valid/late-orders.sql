-- In a file ${this} is only text.
SELECT id FROM orders WHERE due < :day AND state = ANY(:states);
