"""
The contract's exchange as documents of IEC 62325 (ESMP): XML bytes to the model's words and back. Pure.

`parse_order` reads activation documents, `acknowledgement` answers them, `measurements` reports.
"""
