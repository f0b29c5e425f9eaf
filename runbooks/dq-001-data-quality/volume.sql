-- How many orders the loads of the window brought, and when the last one was.
SELECT count(*) AS orders,
       max(loaded_at) AS last_loaded_at
FROM customer_orders
WHERE loaded_at BETWEEN :since AND :until
