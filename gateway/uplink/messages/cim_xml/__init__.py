"""
The contract's exchange as documents of IEC 62325 (ESMP): XML bytes to the model's words and back. Pure.

    activation         orders, read                      451-7, 6:0 to 6:4
    ordering           orders and responses, written     likewise
    acknowledgement    answers, written and read         451-1, 8:0 and 8:1
    measurement        what was measured, written        451-n, measurement value 1:1

`document` is XML let in and out safely, `schema` the documents as data, `codes` their lists, `parties` who exchanges.
"""
