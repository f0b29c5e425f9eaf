-- How many orders lack what no order may lack.
SELECT count(*) AS incomplete
FROM customer_orders
WHERE loaded_at BETWEEN :since AND :until
  AND (customer_id IS NULL OR amount_cents IS NULL)
