"""Loads stand in front of the multiply-adds that use them, for cores that execute in order.

Such a core waits at the first instruction whose operand is not there yet, and its compiler keeps
what is written here. Schedules mark the loop over taps with the number of taps that are multiplied
at a time; their indices are loaded first, then each tap's weights and inputs::

    for k in range(n):                            for k in range(n // 2):
        A[0:4] += W[k, 0] * X[o[k] : o[k] + 4]        i, j = o[2 * k], o[2 * k + 1]
        A[4:8] += W[k, 1] * X[o[k] : o[k] + 4]        w, v, x = W[2 * k, 0], W[2 * k, 1], X[i : i + 4]
                                           →          A[0:4] += w * x; A[4:8] += v * x
                                                      … the same with 2 * k + 1 and j
                                                  for k in range(n // 2 * 2, n): …
"""
