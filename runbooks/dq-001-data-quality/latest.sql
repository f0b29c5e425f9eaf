-- The rows of the last load.
SELECT order_id, customer_id, country, amount_cents, status, ordered_on
FROM customer_orders
WHERE loaded_at = (SELECT max(loaded_at) FROM customer_orders WHERE loaded_at <= :until)
ORDER BY order_id
