"""The parts of the ONNX graph, in ONNX's own text form; `to_onnx` joins them.

Each reads what those before it have named. What is in braces is filled in by what a bundle has.
"""

TOKENS = """
    # Only the rows of a text's tokens are turned back into floats. Rows are all texts' tokens, one
    # text after another, (B T, D): with two axes a product takes its bias along.
    is_token = Cast <to = 9> (input_ids)
    ids_shape = Shape (input_ids)
    row_ids = Reshape (input_ids, minus_one)
    row_codes = Gather (table, row_ids)
    row_scales = Gather (scale, row_ids)
    rows = DequantizeLinear <axis = 0> (row_codes, row_scales)
    shape = Concat <axis = 0> (ids_shape, width)
    x = Reshape (rows, shape)
    length = Shape <start = 1> (input_ids)
    places = Slice (position, zero, length)
    located = Add (x, places)
    y0 = Reshape (located, rows_shape)
"""
MASK = """
    # Attention wants to know of every query whether it may look at a key: (B, 1, T, T).
    is_key = Unsqueeze (is_token, one_two)
    no_column = Slice (no_columns, zero, length)
    may_look = Or (is_key, no_column)
"""
BLOCK = """
    a_norm{n} = LayerNormalization <epsilon = {epsilon}> (y{n}, a_gain{n}, a_offset{n})
    query_rows{n} = Gemm (a_norm{n}, query_weight{n}, query_bias{n})
    key_rows{n} = Gemm (a_norm{n}, key_weight{n}, key_bias{n})
    value_rows{n} = Gemm (a_norm{n}, value_weight{n}, value_bias{n})
    query{n} = Reshape (query_rows{n}, shape)
    key{n} = Reshape (key_rows{n}, shape)
    value{n} = Reshape (value_rows{n}, shape)
    mixed{n} = Attention <q_num_heads = {heads}, kv_num_heads = {heads}>
        (query{n}, key{n}, value{n}, may_look)
    mixed_rows{n} = Reshape (mixed{n}, rows_shape)
    joined{n} = Gemm (mixed_rows{n}, join_weight{n}, join_bias{n})
    z{n} = Add (y{n}, joined{n})
    f_norm{n} = LayerNormalization <epsilon = {epsilon}> (z{n}, f_gain{n}, f_offset{n})
    wide{n} = Gemm (f_norm{n}, up_weight{n}, up_bias{n})
    active{n} = Relu (wide{n})
    fed{n} = Gemm (active{n}, down_weight{n}, down_bias{n})
    y{next} = Add (z{n}, fed{n})
"""
COUNT = """
    is_said = Unsqueeze (is_token, one)
    ones = Cast <to = 1> (is_said)
    count = ReduceSum (ones, two)
"""
GATE = """
    # g(n), and what the network counts for in a text of that length: (B, 1, 1).
    log_count = Log (count)
    from_short = Sub (log_count, short)
    to_long = Mul (from_short, rise)
    gate_of_long = Clip (to_long, least_gate, most_gate)
    network_more = Mul (gate_of_long, network_rise)
    network_weight = Add (network_more, network_short)
"""
POOLING = """
    context = LayerNormalization <epsilon = {epsilon}> (y{blocks}, gain, offset)
    open_rows = Gemm (context, gate_weight, gate_bias)
    gate_rows = Tanh (open_rows)
    gate = Reshape (gate_rows, shape)
    gated = Mul (x, gate)
    score_rows = Gemm (context, query_weight)
    bounded = Tanh (score_rows)
    reached = Mul (bounded, reach)
    scores = Reshape (reached, ids_shape)
    masked_scores = Where (is_token, scores, masked)
    attention = Softmax (masked_scores)
    looks = Unsqueeze (attention, one)
    {weigh}
    pooled = MatMul ({looks}, gated)
    pooled_rows = Squeeze (pooled, one)
    {logits} = Gemm (pooled_rows, head_weight, head_bias)
    shares = Transpose <perm = [0, 2, 1]> ({looks})
    token_logits = MatMul (gated, head_weight)
    {contributions} = Mul (token_logits, shares)
"""
WEIGH = "weighed_looks = Mul (looks, network_weight)"
TRIPLES = """
    first = Pad (before, one_on)
    first_key = Mul (first, first_factor)
    triple_key = Add (first_key, pair_key)
    triple_row = Mod (triple_key, pair_count)
    triple_codes = Gather (pairs, triple_row)
    triple_says = DequantizeLinear <axis = 2> (triple_codes, ngram_scale)
"""
BLEND = """
    in_short, in_long = Split <axis = 2, num_outputs = 2> (in_both)
    apart = Sub (in_long, in_short)
    further = Mul (apart, gate_of_long)
    says = Add (in_short, further)
"""
NGRAMS = """
    before = Pad (input_ids, one_on)
    before_key = Mul (before, before_factor)
    own_key = Mul (input_ids, own_factor)
    pair_key = Add (before_key, own_key)
    pair_row = Mod (pair_key, pair_count)
    token_row = Gather (token_rows, input_ids)
    pair_codes = Gather (pairs, pair_row)
    token_codes = Gather (tokens, token_row)
    pair_says = DequantizeLinear <axis = 2> (pair_codes, ngram_scale)
    token_says = DequantizeLinear <axis = 2> (token_codes, ngram_scale)
    {triples}
    {says} = {sum}
    {blend}
    root = Pow (count, minus_half)
    weight = Mul (ones, root)
    ngram_sums = MatMul (weight, says)
    ngram_logits = Squeeze (ngram_sums, one)
    logits = Add (network_logits, ngram_logits)
    weights = Transpose <perm = [0, 2, 1]> (weight)
    ngram_contributions = Mul (says, weights)
    contributions = Add (network_contributions, ngram_contributions)
"""
