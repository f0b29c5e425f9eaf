-- The orders that are there more than once.
SELECT order_id,
       count(*) AS copies
FROM customer_orders
WHERE loaded_at BETWEEN :since AND :until
GROUP BY order_id
HAVING count(*) > 1
ORDER BY order_id
