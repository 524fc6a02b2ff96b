# Needs: results/maps/{structure}.tif, results/structures/{structure}.extxyz of val and test
# Makes: results/reference/{reference}.tif   (the maps of one crystal and size of cell, 16 bits)
# Not part of the default target: `make test-set` runs it with config/test_set.yaml.


rule store_reference:
    input:
        maps=lambda wildcards: [
            f"results/maps/{s}.tif" for s in reference_structures(wildcards.reference)
        ],
        atoms=lambda wildcards: [
            f"results/structures/{s}.extxyz"
            for s in reference_structures(wildcards.reference)
        ],
    output:
        reference="results/reference/{reference}.tif",
    log:
        "results/logs/store_reference/{reference}.log",
    benchmark:
        "results/benchmarks/store_reference/{reference}.tsv"
    wildcard_constraints:
        reference="|".join(REFERENCES),
    conda:
        "../../envs/dft.yaml"
    params:
        crystal=lambda wildcards: crystal_name(REFERENCES.index(wildcards.reference)),
        about=lambda wildcards: reference_provenance(),
        code=recipe_of("store_reference.py"),
    message:
        "Storing the maps of {wildcards.reference}"
    script:
        "../scripts/store_reference.py"
