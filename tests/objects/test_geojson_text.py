import json

import pyarrow as pa
import shapely

from wsiseg.objects.geojson_text import geometry_texts


def test_geometry_texts_are_those_of_shapely():
    ring = [(0, 0.01), (0.1, -1.5), (1, 9.99), (10, 99.5), (100, 0), (123456.78, 0.99), (99999999.99, 0.01)]
    square, hole = shapely.box(0, 0, 9, 9), shapely.box(1, 1.25, 2, 2)
    shapes = [
        shapely.Polygon(ring),
        square.difference(hole),
        shapely.MultiPolygon([square, shapely.box(10, 10, 11.5, 12)]),
        square,
    ]
    wkb = pa.array(shapely.to_wkb(shapes), pa.binary())
    for array, wanted in [(wkb, shapes), (wkb.slice(1, 2), shapes[1:3]), (wkb.slice(0, 0), [])]:
        texts = geometry_texts(array).to_pylist()
        assert list(map(json.loads, texts)) == [json.loads(shapely.to_geojson(each)) for each in wanted]
    assert ",[123456.78,0.99],[99999999.99,0.01]," in geometry_texts(wkb)[0].as_py()
