"""One classifier run: any model of P1 and P2 on any task of the Long Range Arena, from the YAML files in `configs/`."""
