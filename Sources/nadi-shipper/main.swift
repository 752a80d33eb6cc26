print("nadi-shipper")
