"""The parts of the ONNX graph, in ONNX's own text form; `to_onnx` joins them.

Each reads what those before it have named. What is in braces is filled in by what a bundle has.
"""

TOKENS = """
    # Only the rows of a text's tokens are turned back into floats. Rows are all texts' tokens, one
    # text after another, (B T, D): with two axes a product takes its bias along.
    is_token = Cast <to = 9> (input_ids)
    token_bias = Where (is_token, nothing, masked)
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
    key_bias = Unsqueeze (token_bias, one_two)
    no_column = Slice (no_columns, zero, length)
    may_look = Add (key_bias, no_column)
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
    # What depends on the number of a text's tokens, (B,), stands in tables.
    ones = Cast <to = 7> (is_token)
    count = ReduceSum <keepdims = 0> (ones, one)
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
    masked_scores = Add (scores, token_bias)
    attention = Softmax (masked_scores)
    {weigh}
    share = Unsqueeze ({share}, two)
    handed_on = Mul (gated, share)
    {contributions} = MatMul (handed_on, head_weight)
"""
WEIGH = """
    network_weight = Gather (network_weights, count)
    weighed_attention = Mul (attention, network_weight)
"""
TRIPLES = """
    first = Pad (before, one_on)
    first_part = Mul (first, first_factor)
    first_number = Add (first_part, before_number)
    triple_key = Mul (input_ids, first_number)
    keys = Concat <axis = 1> (pair_key, triple_key)
"""
ONE_BAG = "says = Mul (said, unit)"
TWO_BAGS = """
    unit_row = Reshape (unit, unit_shape)
    in_both = Mul (said, unit_row)
    in_short, in_long = Split <axis = 2, num_outputs = 2> (in_both)
    says = Add (in_short, in_long)
"""
TOKEN_ROWS = "token_row = Gather (token_rows, input_ids)"
NGRAMS = """
    before = Pad (input_ids, one_on)
    before_part = Mul (before, before_factor)
    before_number = Add (before_part, one)
    pair_key = Mul (input_ids, before_number)
    {triples}
    # All pairs, then all triples, of a text: who does not own its row, counted from the end of the
    # table, has that of padding.
    place = Mod ({keys}, minus_places)
    tag = Mod ({keys}, tag_count)
    tag_code = Gather (tags, place)
    tag_of_owner = Cast <to = 7> (tag_code)
    is_owner = Equal (tag_of_owner, tag)
    ngram_row = Where (is_owner, place, no_row)
    {token_rows}
    table_row = Concat <axis = 1> ({token_row}, ngram_row)
    said_codes = Gather (ngram_table, table_row)
    said_alone = Cast <to = 1> (said_codes)
    {apart} = Split <axis = 1, num_outputs = {longest}> (said_alone)
    said = Sum ({apart})
    # What a number of the table says in a text of that length: (B, 1, C), or (B, 1, 2, C).
    bag_weight = Gather (bag_weights, count)
    unit = Mul (bag_weight, ngram_scale)
    {says}
    contributions = Add (network_contributions, says)
"""
LOGITS = """
    summed = ReduceSum <keepdims = 0> (contributions, one)
    logits = Add (summed, head_bias)
"""
