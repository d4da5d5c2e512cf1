"""Templates of the ONNX graph in ONNX's text format, which `to_onnx` fills in and joins.

Each template uses tensors that earlier ones define. The names in braces are filled in.
"""

TOKENS = """
    # Only the embeddings of a text's tokens are dequantised. "rows" are the tokens of all texts,
    # one after another, (B T, D): on two axes, Gemm adds the bias in the same step.
    is_token = Cast <to = 9> (input_ids)
    token_bias = Where (is_token, zero_score, masked_score)
    ids_shape = Shape (input_ids)
    row_ids = Reshape (input_ids, minus_one)
    row_codes = Gather (embedding_table, row_ids)
    row_scales = Gather (embedding_scale, row_ids)
    rows = DequantizeLinear <axis = 0> (row_codes, row_scales)
    shape = Concat <axis = 0> (ids_shape, width)
    x = Reshape (rows, shape)
    length = Shape <start = 1> (input_ids)
    positions = Slice (position, zero, length)
    x_with_positions = Add (x, positions)
    y0 = Reshape (x_with_positions, rows_shape)
"""
MASK = """
    # Attention needs a mask for each query and key: (B, 1, T, T).
    key_bias = Unsqueeze (token_bias, one_two)
    query_zeros = Slice (zero_column, zero, length)
    attention_mask = Add (key_bias, query_zeros)
"""
BLOCK = """
    attention_norm{n} = LayerNormalization <epsilon = {epsilon}>
        (y{n}, attention_gain{n}, attention_offset{n})
    query_rows{n} = Gemm (attention_norm{n}, query_weight{n}, query_bias{n})
    key_rows{n} = Gemm (attention_norm{n}, key_weight{n}, key_bias{n})
    value_rows{n} = Gemm (attention_norm{n}, value_weight{n}, value_bias{n})
    query{n} = Reshape (query_rows{n}, shape)
    key{n} = Reshape (key_rows{n}, shape)
    value{n} = Reshape (value_rows{n}, shape)
    mixed{n} = Attention <q_num_heads = {heads}, kv_num_heads = {heads}>
        (query{n}, key{n}, value{n}, attention_mask)
    mixed_rows{n} = Reshape (mixed{n}, rows_shape)
    joined{n} = Gemm (mixed_rows{n}, join_weight{n}, join_bias{n})
    z{n} = Add (y{n}, joined{n})
    hidden_norm{n} = LayerNormalization <epsilon = {epsilon}>
        (z{n}, hidden_gain{n}, hidden_offset{n})
    hidden{n} = Gemm (hidden_norm{n}, up_weight{n}, up_bias{n})
    activated{n} = Relu (hidden{n})
    projected{n} = Gemm (activated{n}, down_weight{n}, down_bias{n})
    y{next} = Add (z{n}, projected{n})
"""
COUNT = """
    # Factors that depend on the number of tokens of a text, (B,), are looked up in tables.
    ones = Cast <to = 7> (is_token)
    count = ReduceSum <keepdims = 0> (ones, one)
"""
POOLING = """
    context = LayerNormalization <epsilon = {epsilon}> (y{blocks}, gain, offset)
    gate_inputs = Gemm (context, gate_weight, gate_bias)
    gate_rows = Tanh (gate_inputs)
    gate = Reshape (gate_rows, shape)
    gated = Mul (x, gate)
    score_inputs = Gemm (context, query_weight)
    unit_scores = Tanh (score_inputs)
    bounded_scores = Mul (unit_scores, score_bound)
    scores = Reshape (bounded_scores, ids_shape)
    masked_scores = Add (scores, token_bias)
    attention = Softmax (masked_scores)
    {network_weight}
    pooling_weight = Unsqueeze ({weights}, two)
    pooled = Mul (gated, pooling_weight)
    {contributions} = MatMul (pooled, head_weight)
"""
NETWORK_WEIGHT = """
    network_weight = Gather (network_weights, count)
    weighted_attention = Mul (attention, network_weight)
"""
TRIPLES = """
    first = Pad (previous, shift_by_one)
    first_part = Mul (first, first_factor)
    triple_number = Add (first_part, pair_number)
    triple_key = Mul (input_ids, triple_number)
    keys = Concat <axis = 1> (pair_key, triple_key)
"""
ONE_TABLE = "ngram_contributions = Mul (ngram_sums, ngram_unit)"
TWO_TABLES = """
    ngram_unit_row = Reshape (ngram_unit, unit_shape)
    of_tables = Mul (ngram_sums, ngram_unit_row)
    of_short, of_long = Split <axis = 2, num_outputs = 2> (of_tables)
    ngram_contributions = Add (of_short, of_long)
"""
TOKEN_ROWS = "token_row = Gather (token_rows, input_ids)"
NGRAMS = """
    previous = Pad (input_ids, shift_by_one)
    previous_part = Mul (previous, previous_factor)
    pair_number = Add (previous_part, one)
    pair_key = Mul (input_ids, pair_number)
    {triples}
    # All pairs of a text, then all its triples. An n-gram that does not own its bucket, counted
    # from the end of the table, gets the row of padding.
    bucket = Mod ({keys}, minus_buckets)
    tag = Mod ({keys}, tag_count)
    tag_code = Gather (tags, bucket)
    owner_tag = Cast <to = 7> (tag_code)
    is_owner = Equal (owner_tag, tag)
    ngram_row = Where (is_owner, bucket, padding_row)
    {token_rows}
    table_row = Concat <axis = 1> ({token_row}, ngram_row)
    ngram_codes = Gather (ngram_table, table_row)
    ngram_values = Cast <to = 1> (ngram_codes)
    {parts} = Split <axis = 1, num_outputs = {order}> (ngram_values)
    ngram_sums = Sum ({parts})
    # Contribution of one step of the table in a text of this length: (B, 1, C) or (B, 1, 2, C).
    ngram_weight = Gather (ngram_weights, count)
    ngram_unit = Mul (ngram_weight, ngram_scale)
    {tables}
    contributions = Add (network_contributions, ngram_contributions)
"""
LOGITS = """
    contribution_sum = ReduceSum <keepdims = 0> (contributions, one)
    logits = Add (contribution_sum, head_bias)
"""
