SELECT :word AS word, :customer AS customer, :plain AS plain, :all AS words,
    convert_to(:word, 'UTF8') AS bytes, json_build_object(:word, :plain) AS pair, quote_literal(:word) AS literal
