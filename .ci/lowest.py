"""Print the lowest versions that setup.cfg declares, as constraints for pip."""

import configparser
import re
import sys

config = configparser.ConfigParser()
config.read(sys.argv[1])
texts = [config["options"]["install_requires"], *config["options.extras_require"].values()]
for requirement in sorted({line.strip() for text in texts for line in text.splitlines()}):
    if found := re.match(r"([\w-]+)>=([\w.]+)", requirement):
        print(f"{found[1]}=={found[2]}")
