"""An estimator in a pipeline of scikit-learn, searched over by cross-validation.

Prints: best of the grid
"""

from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from layermilp.estimators import LayerwiseClassifier

X, y = load_iris(return_X_y=True)
pipeline = make_pipeline(
    MinMaxScaler(), LayerwiseClassifier(epochs=4, batch_size=30, random_state=0)
)
grid = {"layerwiseclassifier__hidden_layer_sizes": [(4,), (8,)]}
search = GridSearchCV(pipeline, grid, cv=2).fit(X, y)

print(f"best of the grid: {search.best_params_}, accuracy {search.best_score_:.3f}")
